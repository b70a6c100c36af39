/** Why a policy denies: each with a sentence and what to do next. */
export const POLICY_CODES = {
  ROLE_NEEDED: {
    text: 'The principal may not ask for migrations.',
    advice: 'Grant it the role operator or scheduler in the policy set.',
  },
  PEER_NOT_ALLOWED: { text: 'No rule allows this peer.', advice: 'Add the peer to a rule of the policy set.' },
  VM_NOT_ALLOWED: { text: 'No rule for this peer allows this VM.', advice: 'Add the VM to a rule of the policy set.' },
  MODE_NOT_ALLOWED: {
    text: 'No rule for this peer and VM allows this mode.',
    advice: 'Choose another mode, or add this one to the rule.',
  },
  MEMORY_LIMIT: { text: 'The VM has more memory than the rule allows.', advice: 'Move a smaller VM, or raise the limit.' },
  DISK_LIMIT: { text: 'The VM has more disk than the rule allows.', advice: 'Move a smaller VM, or raise the limit.' },
  VCPU_LIMIT: { text: 'The VM has more processors than the rule allows.', advice: 'Move a smaller VM, or raise the limit.' },
  OPEN_LIMIT: { text: 'Too many migrations with this peer are open.', advice: 'Ask again when one has ended.' },
  ALLOWED: { text: 'A rule allows it.', advice: 'Nothing.' },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
export type PolicyCode = keyof typeof POLICY_CODES;
