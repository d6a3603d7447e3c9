# All that the jobs may do with storage: read the source, write the output, delete below training/ and the folders of
# finished runs below OUT/runs/.
resource "aws_iam_policy" "storage" {
  name        = "${var.name}-storage"
  description = "Fiat Color: read the source, write the output"
  policy = templatefile("${path.module}/policies/storage.json.tftpl", {
    source_arn = local.source_arn
    output_arn = local.output_arn
    runs_arn   = local.runs_arn
  })
}

data "aws_iam_openid_connect_provider" "cluster" {
  count = var.oidc_provider == null ? 0 : 1
  url   = "https://${var.oidc_provider}"
}

# For the Ray pods of infra/kuberay, by the name of their service account.
resource "aws_iam_role" "pods" {
  count = var.oidc_provider == null ? 0 : 1
  name  = var.name
  assume_role_policy = templatefile("${path.module}/policies/trust_pods.json.tftpl", {
    provider_arn    = data.aws_iam_openid_connect_provider.cluster[0].arn
    issuer          = var.oidc_provider
    service_account = var.service_account
  })
}

resource "aws_iam_role_policy_attachment" "pods" {
  count      = var.oidc_provider == null ? 0 : 1
  role       = aws_iam_role.pods[0].name
  policy_arn = aws_iam_policy.storage.arn
}
