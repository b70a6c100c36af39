import type { CspPlan } from './layout.ts';

/** A development policy: operators may move VMs and, as nobody else is there, keep keys; schedulers may move. One peer. */
export const policyText = ({ domain }: CspPlan, peer: CspPlan): string => `version = 1

[[grants]]
principal = "spiffe://${domain}/operator"
roles = ["operator", "key-custodian"]

[[grants]]
principal = "spiffe://${domain}/scheduler"
roles = ["scheduler"]

# API keys are made with roles of their own (\`carnet apikey\`); this is the most that any of them may have.
[[grants]]
principal = "api-key/*"
roles = ["scheduler", "viewer"]

[[grants]]
principal = "spiffe://${domain}/auditor"
roles = ["auditor"]

[[asSource]]
name = "to-the-peer"
peers = ["${peer.domain}"]
vms = ["**"]
modes = ["cold", "suspend"]
limits = { memoryMiB = 4096, diskBytes = 68719476736, vcpus = 4, openPerPeer = 1000 }

[[asTarget]]
name = "from-the-peer"
peers = ["${peer.domain}"]
vms = ["**"]
modes = ["cold", "suspend"]
limits = { memoryMiB = 4096, diskBytes = 68719476736, vcpus = 4, openPerPeer = 1000 }
`;
