locals {
  source_arn = "arn:aws:s3:::${var.source_bucket}"
  output_arn = "arn:aws:s3:::${var.output_bucket}"
  # the folders of finished runs, which report.keep bounds
  runs_arn = join("/", compact([local.output_arn, var.output_prefix, "runs"]))
  # by role, so that one set of rules serves both
  buckets = merge({ output = var.output_bucket }, var.create_source_bucket ? { source = var.source_bucket } : {})
}

resource "aws_s3_bucket" "archive" {
  for_each = local.buckets
  bucket   = each.value

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_s3_bucket_versioning" "archive" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.archive[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "archive" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.archive[each.key].id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "archive" {
  for_each                = local.buckets
  bucket                  = aws_s3_bucket.archive[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "archive" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.archive[each.key].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  for_each   = local.buckets
  bucket     = aws_s3_bucket.archive[each.key].id
  policy     = templatefile("${path.module}/policies/tls_only.json.tftpl", { bucket_arn = aws_s3_bucket.archive[each.key].arn })
  depends_on = [aws_s3_bucket_public_access_block.archive]
}

# In the source bucket only unfinished uploads expire. In the output bucket replaced versions expire too.
resource "aws_s3_bucket_lifecycle_configuration" "archive" {
  for_each = local.buckets
  bucket   = aws_s3_bucket.archive[each.key].id

  rule {
    id     = "abandoned-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = each.key == "output" ? [var.noncurrent_days] : []
    content {
      id     = "replaced-results"
      status = "Enabled"
      filter {}
      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.archive]
}
