region        = "eu-central-1"
source_bucket = "FILL-IN"
output_bucket = "FILL-IN-color"
budget_usd    = 200
budget_emails = ["archive@example.org"]
# Choose one of the two, according to how you run it:
# oidc_provider = "oidc.eks.eu-central-1.amazonaws.com/id/FILL-IN"   # infra/kuberay/overlays/aws
# vpc_id        = "vpc-FILL-IN"                                       # infra/cluster/aws.yaml
# admin_cidr    = "203.0.113.0/24"
