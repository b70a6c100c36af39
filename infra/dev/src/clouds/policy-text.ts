import type { CspPlan } from './layout.ts';

/** A development policy: everybody of the CSP may read, operators and schedulers may move, to and from the one peer. */
export const policyText = ({ domain }: CspPlan, peer: CspPlan): string => `version = 1

[limits]
openPerPeerMax = 1000
openMax = 1000

[[principals]]
principal = "spiffe://${domain}/operator"
roles = ["operator"]

[[principals]]
principal = "spiffe://${domain}/scheduler"
roles = ["scheduler"]

[[principals]]
principal = "spiffe://${domain}/auditor"
roles = ["auditor"]

[[asSource]]
name = "to the peer"
roles = ["operator", "scheduler"]
peers = ["${peer.domain}"]
vms = ["*"]
modes = ["cold", "suspend"]

[[asTarget]]
name = "from the peer"
peers = ["${peer.domain}"]
vms = ["*"]
modes = ["cold", "suspend"]
memoryMiBMax = 4096
vcpusMax = 4
diskBytesMax = 68719476736
`;
