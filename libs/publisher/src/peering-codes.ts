/** What a broker says about adding peers by invitation: one sentence, and what to do next. */
export const PEERING_CODES = {
  INVITATION_MALFORMED: {
    text: 'The text is no invitation, or was not copied whole.',
    advice:
      'Copy the whole line that `carnet peer invite` printed: it begins with carnet-invite-1 and ends with its check digits.',
  },
  INVITATION_UNKNOWN: {
    text: 'The CSP that invites knows no such invitation.',
    advice: 'Ask it for a new one; `carnet peer invitations` there shows those that it made.',
  },
  INVITATION_OTHER_DOMAIN: {
    text: 'The invitation is for another CSP.',
    advice: 'An invitation names who may use it. If you were meant, ask for one for your own domain.',
  },
  INVITATION_EXPIRED: { text: 'The invitation has ended.', advice: 'Ask for a new one.' },
  INVITATION_USED: {
    text: 'The invitation was used before.',
    advice:
      'If it was not by you, somebody read it: do not confirm what it began, remove it with `carnet peer remove`, and invite again by another way.',
  },
  INVITATION_SPENT: {
    text: 'Too many wrong proofs came for the invitation.',
    advice: 'Somebody tried secrets, or a copy was bad: invite again.',
  },
  INVITATION_REVOKED: { text: 'The invitation was withdrawn.', advice: 'Ask who invited you why.' },
  INVITATION_SECRET_WRONG: {
    text: 'The two sides do not know the same secret, or did not see the same exchange.',
    advice: 'Take the invitation as it was given. If it was, somebody stands between the two: ask for a new one by another way.',
  },
  INVITATIONS_TOO_MANY: {
    text: 'Too many invitations are open.',
    advice: '`carnet peer invitations` shows them; withdraw with `carnet peer uninvite` what nobody needs.',
  },
  PEERING_NO_DOOR: {
    text: 'This broker has no door at which an invited CSP could answer.',
    advice: 'Set [peering.door] with port and url, and restart; or have the other CSP invite this one.',
  },
  PEERING_SELF: { text: 'A CSP is no peer of itself.', advice: 'Name the other CSP.' },
  PEERING_ROOT_OTHER: {
    text: 'The two CSPs are not of one federation.',
    advice: 'Both need certificates under the same federation root: an invitation brings no root, on purpose.',
  },
  PEERING_BUS_OTHER: {
    text: 'The two CSPs speak on different buses.',
    advice: 'Both brokers need the same [bus]; its operator makes the ledgers of the pair.',
  },
  PEERING_NOT_BEGUN: {
    text: 'A proof came without the exchange that it is of.',
    advice: 'Use the invitation again from its beginning: `carnet peer join`.',
  },
  PEERING_UNKNOWN: {
    text: 'The other side does not know this peering, or removed it.',
    advice: 'Speak to it. `carnet peer remove`, then a new invitation.',
  },
  PEERING_UNREACHABLE: {
    text: 'The CSP that invites does not answer at the address in its invitation.',
    advice:
      'Check that the address can be reached from this broker. If the answer was lost after the secret was proven, the invitation is used: have the other side remove the peer and invite again.',
  },
  PEERING_ANSWER_MALFORMED: {
    text: 'The other side answered in a way that this version does not know.',
    advice: 'Compare the versions of both brokers.',
  },
  PEERING_REFUSED_THERE: { text: 'The other side refused for a reason of its own.', advice: 'Its own text and log say why.' },
  PEERING_TOO_OFTEN: {
    text: 'Too many requests came to the door for peers.',
    advice: 'It passes by itself: wait for some seconds.',
  },
  PEERING_EXPIRED: {
    text: 'Nobody confirmed the peering in time.',
    advice: 'Remove it at both sides with `carnet peer remove`, and invite again.',
  },
  PEERING_CODE_WRONG: {
    text: 'The code is not the one that both brokers have.',
    advice:
      'Have the other side read its own code aloud from `carnet peer show`. If the two differ, somebody stands between you: remove the peering.',
  },
  PEERING_SAME_PERSON: {
    text: 'Who invited or joined may not confirm.',
    advice: 'Another administrator compares the code and confirms ([peering] confirmedBy = "another").',
  },
  PEER_EXISTS: {
    text: 'This CSP is a peer already, or about to be one.',
    advice:
      'What is pinned of a peer is never replaced. `carnet peer show` says what there is; remove it before it is invited anew.',
  },
  PEER_CONFIGURED: { text: 'The peer stands in the configuration of this broker.', advice: 'Remove it there, and restart.' },
  PEER_BUSY: {
    text: 'Migrations with this peer have not ended.',
    advice:
      '`carnet migration list --open` shows them: end them first, or there is nobody to hear how they ended. A peer that gave a VM may take it back until it has retired its copy: until then it stays a peer.',
  },
  PEER_UNHEARD: {
    text: 'The peer has not acknowledged all that was said to it.',
    advice:
      'Wait until it hears again: what it does not know, it may undo. `carnet peer remove --unheard` removes a peer that will never be back; ledgers in quarantine wait for it no more.',
  },
  PEERS_TOO_MANY: { text: 'A broker has no more peers than this.', advice: 'Remove one that is not needed.' },
} as const satisfies Readonly<Record<string, { readonly text: string; readonly advice: string }>>;
