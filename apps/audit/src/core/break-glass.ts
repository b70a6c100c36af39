import { type BreakGlassPerson, type EventOf, PAYLOAD_TYPES } from '@carnet/events';
import { BREAK_GLASS_CODES, breakGlassFault } from '@carnet/policy';
import { policyCrypto } from '@carnet/publisher';
import type { MigrationState } from '@carnet/saga';
import { accept, type Checked, openEnvelope, parseStrictJson, refuse } from '@carnet/trust';
import type { Identify } from './agents.ts';

/** Two persons of the source, by their certificates at that time, and the VM's owner have said what this event rests on. */
export function checkBreakGlass(
  identify: Identify,
  m: MigrationState,
  event: EventOf<'BreakGlassResumed'>,
  issuers: readonly string[],
): Checked<null, string> {
  const { id: migration, vm, epoch, source, target, facts } = m;
  const openPerson = ({ principal, certificate, envelope }: BreakGlassPerson): unknown => {
    const identity = identify([certificate, ...issuers], source, event.time, principal);
    if (!identity.ok) return undefined;
    const { leafDigest, verifier } = identity.value;
    const opened = openEnvelope(Buffer.from(JSON.stringify(envelope)), PAYLOAD_TYPES.breakGlass, (keyid) =>
      keyid === leafDigest ? verifier : undefined,
    );
    const json = opened.ok ? parseStrictJson(opened.value.payload) : opened;
    return json.ok ? json.value : undefined;
  };
  const owner = facts.MigrationIntended?.data.spec.restrictions?.owner;
  const of = { migration, vm, epoch, source, target, owner, release: event.data.release, time: event.time };
  const code = breakGlassFault({ signed: policyCrypto.signed, openPerson }, event.data, of);
  return code === undefined ? accept(null) : refuse(code, BREAK_GLASS_CODES[code].text);
}
