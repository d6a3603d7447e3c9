# The storage of an archive, and who may do what with it: buckets, roles, lifecycle, a budget that sends warnings.
#   terraform init && terraform apply -var-file=archive.tfvars
terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = { project = var.name }
  }
}
