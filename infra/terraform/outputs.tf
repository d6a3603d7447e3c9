output "input" {
  description = "--input of jobs/colorize_bucket.py"
  value       = "s3://${var.source_bucket}"
}

output "output" {
  description = "--output of jobs/colorize_bucket.py"
  value       = "s3://${aws_s3_bucket.archive["output"].id}"
}

output "role_arn" {
  description = "Annotation of the service account in infra/kuberay/overlays/aws"
  value       = one(aws_iam_role.pods[*].arn)
}

output "instance_profiles" {
  description = "IamInstanceProfile of the node types in infra/cluster/aws.yaml"
  value       = { for role, profile in aws_iam_instance_profile.nodes : role => profile.arn }
}

output "security_group_id" {
  description = "SecurityGroupIds in infra/cluster/aws.yaml"
  value       = one(aws_security_group.nodes[*].id)
}
