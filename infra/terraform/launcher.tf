# For infra/cluster/aws.yaml: workers that may use the storage, a head that may also start and stop workers, and a
# security group that admits SSH from the administrators and all traffic between the nodes. Not created without vpc_id.
locals {
  nodes = toset(var.vpc_id == null ? [] : ["head", "node"])
}

data "aws_caller_identity" "current" {}

resource "aws_iam_role" "nodes" {
  for_each           = local.nodes
  name               = "${var.name}-${each.key}"
  assume_role_policy = file("${path.module}/policies/trust_ec2.json")
}

resource "aws_iam_role_policy_attachment" "nodes" {
  for_each   = local.nodes
  role       = aws_iam_role.nodes[each.key].name
  policy_arn = aws_iam_policy.storage.arn
}

resource "aws_iam_instance_profile" "nodes" {
  for_each = local.nodes
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.nodes[each.key].name
}

resource "aws_iam_role_policy" "head" {
  count = var.vpc_id == null ? 0 : 1
  name  = "workers"
  role  = aws_iam_role.nodes["head"].id
  policy = templatefile("${path.module}/policies/head.json.tftpl", {
    region        = var.region
    account       = data.aws_caller_identity.current.account_id
    cluster       = var.name
    node_role_arn = aws_iam_role.nodes["node"].arn
  })
}

resource "aws_security_group" "nodes" {
  count       = var.vpc_id == null ? 0 : 1
  name        = "${var.name}-nodes"
  description = "Fiat Color: traffic between nodes, SSH from the administrators"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "among_nodes" {
  count                        = var.vpc_id == null ? 0 : 1
  security_group_id            = aws_security_group.nodes[0].id
  referenced_security_group_id = aws_security_group.nodes[0].id
  ip_protocol                  = "-1"
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  count             = var.vpc_id == null || var.admin_cidr == null ? 0 : 1
  security_group_id = aws_security_group.nodes[0].id
  cidr_ipv4         = var.admin_cidr
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
}

resource "aws_vpc_security_group_egress_rule" "all" {
  count             = var.vpc_id == null ? 0 : 1
  security_group_id = aws_security_group.nodes[0].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
