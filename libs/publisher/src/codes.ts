/** What a broker's doors answer beside the codes of the libs behind them: one sentence, and what to do next. */
export const DOOR_CODES = {
  UNREACHABLE: {
    text: 'The broker did not answer.',
    advice:
      'Check its address, that it runs, and the certificate: a broker that refuses one closes the connection without a word. Repeating is safe.',
  },
  ANSWER_MALFORMED: {
    text: 'What answered is no broker of this version.',
    advice: 'Check the address; a proxy may answer in its place.',
  },
  INTERRUPTED: {
    text: 'The request was given up before an answer came.',
    advice: 'It may have been taken: ask for its state, or repeat it with the same id.',
  },
  INTERNAL: { text: 'The broker failed.', advice: "See the broker's log; repeating is safe." },
  DATABASE_UNAVAILABLE: {
    text: 'The broker does not reach its database, or that takes nothing now (a full disk).',
    advice: 'It goes on by itself when the database does; repeating is safe. `/readyz` of the broker says what it sees.',
  },
  HOSTS_NOT_HEARD_YET: {
    text: 'The broker has just come back and has not heard its hosts yet.',
    advice: 'Ask again in some seconds; `carnet host list` shows who was heard.',
  },
  BROKER_DRAINING: { text: 'The broker is shutting down.', advice: 'Ask again in some seconds, or ask another replica.' },
  ROUTE_UNKNOWN: { text: 'The broker has no such path.', advice: 'GET /openapi.json lists all paths.' },
  REQUEST_MALFORMED: {
    text: 'The request is not well formed.',
    advice: 'Send JSON that matches the schema of the path in /openapi.json.',
  },
  REQUEST_TOO_LARGE: {
    text: 'The body of the request is too large.',
    advice: 'An intent fits well into 256 KiB; send nothing else.',
  },
  MEDIA_TYPE_UNSUPPORTED: {
    text: 'The body is of a type that the broker does not read.',
    advice: 'Send application/json or application/cloudevents+json.',
  },
  PARAMETER_INVALID: { text: 'A parameter is not well formed.', advice: 'The text names it; /openapi.json has its schema.' },
  CALLER_UNKNOWN: {
    text: 'The broker does not know who calls.',
    advice: 'Present a client certificate of this CSP, or a token at the token door.',
  },
  TOKEN_REFUSED: {
    text: 'The bearer token is not good.',
    advice: "Ask this CSP's administrator for an API key, or its identity provider or Keystone for a token.",
  },
  TOKEN_EXPIRED: { text: 'The bearer token or API key has ended.', advice: 'Fetch a new token, or have a new key made.' },
  TOKEN_AUDIENCE: {
    text: 'The token was made for another audience.',
    advice: "Ask the identity provider for one whose audience is this broker's (`tokens.issuers` of its configuration).",
  },
  ISSUER_UNKNOWN: {
    text: 'No identity provider of this broker made the token.',
    advice: 'The broker takes tokens of the issuers in `tokens.issuers` of its configuration, spelt as in their `iss`.',
  },
  ISSUER_UNREACHABLE: {
    text: "The identity provider's keys cannot be had, so the token cannot be judged.",
    advice: "Try again soon. The broker's log says what went wrong with the provider.",
  },
  API_KEY_UNKNOWN: { text: 'No such API key.', advice: '`carnet apikey list` shows all.' },
  API_KEY_EXISTS: {
    text: 'An active API key has this name.',
    advice: 'Choose another name, or revoke that key first: `carnet apikey list`.',
  },
  SIGNATURE_REFUSED: {
    text: "The request's signature does not verify.",
    advice: 'Sign the exact bytes with the key of the certificate that is sent along.',
  },
  ROLE_MISSING: {
    text: 'The caller has none of the roles that this takes.',
    advice: 'Ask an administrator to add the role in the policy set.',
  },
  PROJECT_LIMITED: {
    text: 'The credential is for one project only, and this is not of that project.',
    advice: 'With it, read the keys of that project: /v1/secrets. For the rest use a credential without a project.',
  },
  PROJECT_UNMAPPED: {
    text: "The token is of a Keystone project that is none of this CSP's.",
    advice:
      "Ask for a token of another project, or have this one added to `tokens.keystone.projects` of the broker's configuration.",
  },
  PAYLOAD_WITHHELD: {
    text: 'Keys are not given out at this door.',
    advice: 'Metadata and consumers can be read. A key goes to a host that may run its VM, and nowhere else.',
  },
  READ_ONLY: {
    text: "Barbican's API is served here for reading only.",
    advice: 'Keys are made with VMs and images, and end with them: `carnet vm`, `carnet image`, `carnet key`.',
  },
  ACCEPT_UNSUPPORTED: { text: 'Only JSON is answered here.', advice: 'Send `Accept: application/json`.' },
  MICROVERSION_UNKNOWN: {
    text: "This version of Barbican's API is not served.",
    advice: 'Send `OpenStack-API-Version: key-manager 1.1`, or no such header.',
  },
  POLICY_DENIES: {
    text: "This CSP's policy denies the move.",
    advice: 'The reasons name the rule; `carnet migration plan` shows the verdict without asking.',
  },
  APPROVAL_UNKNOWN: {
    text: 'No request with this id waits for a second person.',
    advice: '`carnet migration requests` shows those that do; a request waits for seven days.',
  },
  REQUEST_LAPSED: {
    text: 'What the request was asked with is no longer good: the certificate, API key or token of its asker.',
    advice: 'Have it asked for again, with the same id or a new one; then approve it.',
  },
  REQUESTS_EXCEEDED: {
    text: 'As many requests wait for a second person as may: of this principal, or of everyone.',
    advice:
      '`carnet migration requests` shows those that wait: have them approved. Each ends after seven days, or with its own notAfter.',
  },
  APPROVAL_REFUSED: {
    text: 'The policy does not let this person approve the request.',
    advice: 'The reasons name the policy; who asked for a move never approves it.',
  },
  PROOF_NONE: {
    text: 'Nothing is kept that convicts this peer.',
    advice: '`carnet peer list` shows who is frozen. A peer that is merely silent, or was revoked, is convicted of nothing.',
  },
  PEER_UNKNOWN: { text: 'There is no agreement with this CSP.', advice: '`carnet peer list` shows the peers.' },
  AGREEMENT_EXPIRED: {
    text: 'The agreement with this CSP has ended.',
    advice: 'Agree anew: `carnet peer propose`, and the peer accepts. Migrations that began go on to their end.',
  },
  AGREEMENT_NOT_BEGUN: { text: 'The agreement with this CSP has not begun.', advice: 'Wait for it, or agree on other terms.' },
  MODE_NOT_AGREED: {
    text: 'The agreement with this CSP does not allow migrations of this mode.',
    advice: '`carnet peer agreement` shows the terms; take another mode, or agree anew.',
  },
  AGREEMENT_UNKNOWN: {
    text: 'There is no such open proposal.',
    advice: '`carnet peer agreement` shows what is open. It may have been replaced, or not arrived yet.',
  },
  AGREEMENT_OWN: { text: 'A CSP does not accept what it proposed itself.', advice: 'The peer accepts it, at its own broker.' },
  AGREEMENT_CROSSED: {
    text: 'The peer has proposed this version, too, and of two crossed proposals its one counts.',
    advice: '`carnet peer accept` it, or ask the peer to propose what you want.',
  },
  AGREEMENT_WORDS_SPENT: {
    text: 'This CSP has proposed and accepted so often that its further words about agreements would not be read.',
    advice: 'What is in force stays so. The peer can still propose; nothing more can be said from here.',
  },
  ALGORITHM_NOT_AGREED: {
    text: 'Keys would be sealed by an algorithm that the agreement does not name.',
    advice: 'The target offers by `profile.arriving`: change it, or agree on more algorithms.',
  },
  JURISDICTION_NOT_AGREED: {
    text: 'The target answers to a jurisdiction that the agreement does not name.',
    advice: 'Agree on more jurisdictions (`carnet peer propose`), or move the VM elsewhere.',
  },
  ROLLBACK_WINDOW_TOO_LONG: {
    text: 'This broker’s rollback window is longer than the terms allow.',
    advice: 'Shorten migration.rollbackWindowSeconds, or agree on a longer window.',
  },
  STREAMS_EXCEEDED: {
    text: 'You have as many streams open as one principal may.',
    advice: 'Close some: readers of one program can share one stream.',
  },
  PLANS_EXCEEDED: {
    text: 'You have as many plans under way as one principal may.',
    advice: 'Ask for one after another; each is answered within seconds.',
  },
  VM_UNKNOWN: { text: 'This CSP does not hold such a VM.', advice: '`carnet vm list` shows what it holds.' },
  QUOTA_BUSY: {
    text: 'Other moves with this peer are being decided, and each counts for the next.',
    advice: 'Ask again in some seconds, with the same id.',
  },
  VM_MOVING: { text: 'A migration of this VM is open.', advice: 'Wait for it to end, or cancel it.' },
  PREVIOUS_OPEN: {
    text: 'An earlier migration of this VM is not over at its other side, which may still take the VM back.',
    advice:
      'Ask again once that CSP has said the end (`carnet migration show ID`); while it or the bus is away, the VM stays here.',
  },
  VM_EXISTS: { text: 'A VM of this name exists here.', advice: 'Choose another name.' },
  MIGRATION_UNKNOWN: { text: 'No migration of that id is known here.', advice: '`carnet migration list` shows all.' },
  MIGRATION_ID_TAKEN: { text: 'Another request used this migration id.', advice: 'Ask again with a new id.' },
  CANCEL_TOO_LATE: {
    text: 'The key is released: the source cannot withdraw any more.',
    advice: 'Wait for the target; migrate back afterwards.',
  },
  BREAK_GLASS_NOT_OURS: { text: 'Only the source breaks the glass.', advice: "Ask the source's operators." },
  BREAK_GLASS_NOT_RELEASED: {
    text: 'The key of this migration is not released: nothing is in doubt.',
    advice: 'Cancel the migration at its source.',
  },
  DISCARD_NOT_OURS: { text: 'Only the target discards its copy.', advice: "Ask the target's operators." },
  COPY_NOT_FENCED: {
    text: 'No copy of this VM was stopped here because its source took it back.',
    advice: 'See where it stands with `carnet migration doctor`.',
  },
  CANCEL_NOT_OURS: { text: 'Only the source withdraws.', advice: "Ask the source's operator." },
  INTENT_EXPIRED: { text: 'The request came after its own time limit.', advice: 'Ask again with a later notAfter.' },
  EVENT_UNKNOWN: {
    text: 'No event of that digest stands in a ledger here.',
    advice: '`carnet event follow` shows all.',
  },
  KEY_UNKNOWN: { text: 'No such key.', advice: '`carnet key list` shows all.' },
  IMAGE_UNKNOWN: { text: 'No such image.', advice: '`carnet image list` shows all.' },
  IMAGE_EXISTS: { text: 'An image of this name exists.', advice: 'Choose another name.' },
  IMAGE_TAMPERED: {
    text: 'The image is not what was registered.',
    advice: 'Do not create VMs from it; register it again from a trusted file.',
  },
  HOST_UNAVAILABLE: { text: 'No host answered.', advice: '`carnet host list`; start the agent on the host.' },
  EVIDENCE_INVALID: {
    text: "The evidence in a peer's event is not the word of the agent that was pinned.",
    advice:
      "The text says why, with the certificate's code. Ask the peer to renew its agent's certificate, or who spoke in its name.",
  },
  EVIDENCE_UNJUDGED: {
    text: "Whether the certificate under a peer's evidence was good is not known now: a revocation list is missing, stale or unreadable.",
    advice: 'It is looked at again by itself. See that `trust.crlDirectory` has a fresh list of each issuing authority.',
  },
  LEASE_LOST: {
    text: 'The broker lost its database connection while it decided, and with it the right to.',
    advice: 'Nothing was decided; it tries again by itself. See that the database stays up.',
  },
  CRL_TOO_LARGE: {
    text: 'A revocation list is too large to be told to hosts over the bus.',
    advice: 'Bring it to the crlDirectory of every host as a file; shorter lives of certificates keep lists short.',
  },
  REPORT_UNTRUSTED: {
    text: 'What came in the name of a host was not signed by its agent.',
    advice: "Check the agent's certificate; if it is good, somebody else speaks on this CSP's bus.",
  },
  HOST_CONFUSED: {
    text: 'A host answered another step than it was asked for.',
    advice: 'Broker and agent are of different versions: bring both to one.',
  },
  EPOCH_EXHAUSTED: {
    text: 'The VM has been moved as often as can be counted.',
    advice: 'Create it anew from its image.',
  },
  PEER_FROZEN: {
    text: 'New work with this peer is frozen.',
    advice:
      'It signed what contradicts itself, or relies on what we never said: `carnet peer proof PEER --out FILE` has the proof, `carnet audit proof FILE` says what it proves.',
  },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
export type DoorCode = keyof typeof DOOR_CODES;
