variable "name" {
  description = "Prefix of the names of everything that is created"
  type        = string
  default     = "fiat-color"
}

variable "region" {
  description = "AWS region of the buckets"
  type        = string
}

variable "source_bucket" {
  description = "Bucket of the photographs; it is only read"
  type        = string
}

variable "create_source_bucket" {
  description = "false: the source bucket exists already and is not changed"
  type        = bool
  default     = true
}

variable "output_bucket" {
  description = "Bucket of the results, which is created"
  type        = string
  validation {
    condition     = var.output_bucket != var.source_bucket
    error_message = "Results go to a bucket of their own: the source is only ever read."
  }
}

variable "output_prefix" {
  description = "Prefix of --output in the output bucket; empty: the bucket itself"
  type        = string
  default     = "photographs"
}

variable "noncurrent_days" {
  description = "How many days replaced or deleted results are kept"
  type        = number
  default     = 90
}

variable "oidc_provider" {
  description = "Issuer of the EKS cluster without https://, for IRSA; null: no role for Kubernetes"
  type        = string
  default     = null
}

variable "service_account" {
  description = "namespace:name of the Ray pods' service account in infra/kuberay"
  type        = string
  default     = "fiat-color:fiat-color"
}

variable "vpc_id" {
  description = "VPC of infra/cluster/aws.yaml; null: no security group and no roles for it"
  type        = string
  default     = null
}

variable "admin_cidr" {
  description = "Address range that may reach the nodes of infra/cluster/aws.yaml by SSH"
  type        = string
  default     = null
  validation {
    condition     = var.admin_cidr == null || var.admin_cidr != "0.0.0.0/0"
    error_message = "Name your own network: the whole Internet may not reach the nodes."
  }
}

variable "budget_usd" {
  description = "Monthly budget in US dollars; mails go out at 80 % spent and at 100 % forecast"
  type        = number
}

variable "budget_emails" {
  description = "Mail addresses that get the budget's warnings"
  type        = list(string)
}
