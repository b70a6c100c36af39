/** Codes of what keeps keys for us: tokens, Barbican and its Keystone. Part of `CODES`. */
export const BACKEND_CODES = {
  // PKCS#11
  PKCS11_PACKAGE_MISSING: {
    text: 'The npm package pkcs11js is not installed, or its native part was not built.',
    advice:
      'Run `npm install --include=optional`; building it needs a C++ compiler, make and Python 3 (`npm run setup` brings them).',
  },
  PKCS11_MODULE_UNUSABLE: {
    text: "The token's PKCS#11 library cannot be loaded.",
    advice: 'Check `keys.module` and the variables in `keys.environment`; try the library with `pkcs11-tool --module`.',
  },
  TOKEN_MISSING: { text: 'No token of this label is present.', advice: 'Check `keys.token`, the reader or the network HSM.' },
  TOKEN_AMBIGUOUS: { text: 'Two tokens have this label.', advice: 'Give the token of Carnet a label of its own.' },
  TOKEN_PIN_WRONG: {
    text: "The token's PIN is wrong.",
    advice: 'Stop the service before it tries again: a token locks itself after some tries. Then check the PIN file.',
  },
  TOKEN_PIN_LOCKED: { text: "The token's PIN is locked.", advice: 'Its security officer must set a new PIN.' },
  TOKEN_KEY_MISSING: {
    text: 'The token holds no AES key of this label.',
    advice: 'It is made at the very first start. Where keys exist already, bring back the token that wraps them.',
  },
  TOKEN_KEY_EXISTS: { text: 'The token already holds a key of this label.', advice: 'Use it, or choose another label.' },
  TOKEN_KEY_AMBIGUOUS: {
    text: 'The token holds two keys of this label.',
    advice: 'Two first starts at once made one each: delete the one that wraps nothing, or rename it.',
  },
  TOKEN_KEY_EXPOSED: {
    text: "The token's key is not AES-256, or could be or once have been read out of the token.",
    advice: 'Only a key made inside the token, sensitive and not extractable, is a root. Choose another label and start afresh.',
  },
  TOKEN_FAILED: { text: 'The token failed.', advice: "Retried automatically; if it repeats, see the token's own log." },
  // Barbican and Keystone
  BARBICAN_NOT_CONFIGURED: {
    text: 'The key lies in a Barbican, and none is configured.',
    advice: 'Bring back `keys.barbican`: keys stay where they were made.',
  },
  BARBICAN_UNAVAILABLE: {
    text: 'Barbican did not answer, or failed.',
    advice: 'Retried automatically; check its address and its own log.',
  },
  BARBICAN_UNAUTHORIZED: {
    text: 'Barbican refuses our token, also a fresh one.',
    advice: 'Barbican and this broker must use the same Keystone; check `[keystone_authtoken]` of Barbican.',
  },
  BARBICAN_FORBIDDEN: {
    text: 'Barbican does not let us do this.',
    advice:
      'The application credential needs the role `creator` in its project; a secret of another project or user stays closed.',
  },
  BARBICAN_QUOTA: { text: "The project's quota of secrets is used up.", advice: 'Raise `secrets` of the project quota.' },
  BARBICAN_SECRET_MISSING: {
    text: 'Barbican has no such secret.',
    advice: 'It was deleted by somebody else, who also deleted the VM with it. Bring it back from a backup of Barbican.',
  },
  BARBICAN_SECRET_DIFFERS: {
    text: 'Barbican holds another key under the name of this one.',
    advice: 'Find out who made it: nothing was overwritten, and nothing of it is used.',
  },
  BARBICAN_SECRET_IN_USE: {
    text: 'Another service has registered as consumer of the secret.',
    advice: 'Barbican would delete it all the same, so it was left: have the consumer removed; deletion is tried again.',
  },
  BARBICAN_CONFLICT: { text: 'Barbican has something else there already.', advice: 'Retried by the next round.' },
  BARBICAN_TOO_LARGE: { text: 'Barbican finds the request too large.', advice: 'Raise `max_allowed_request_size_in_bytes`.' },
  BARBICAN_REFUSED: { text: 'Barbican refuses the request.', advice: 'Is it Barbican 15 or newer? See its own log.' },
  BARBICAN_ANSWER_INVALID: {
    text: "The answer is not one of Barbican's.",
    advice: 'Something between, such as a proxy, answers in its place: check `keys.barbican.url`.',
  },
  KEYSTONE_UNAVAILABLE: { text: 'Keystone did not answer, or failed.', advice: 'Retried automatically; check its address.' },
  KEYSTONE_REFUSED: {
    text: 'Keystone refuses the application credential.',
    advice:
      'It is revoked, expired or mistyped: make a new one and replace id and secret file. To judge the tokens of users (`tokens.keystone`) it needs the role service.',
  },
  KEYSTONE_ANSWER_INVALID: {
    text: "The answer is not one of Keystone's.",
    advice: 'Check the `url` of the table that names Keystone; it ends before `/v3`.',
  },
  CREDENTIAL_UNREADABLE: {
    text: 'A file with a credential or certificate cannot be read.',
    advice: 'Check path, size and mode; secrets must be readable by their owner only (`chmod 600`).',
  },
} as const satisfies Record<string, { readonly text: string; readonly advice: string }>;
