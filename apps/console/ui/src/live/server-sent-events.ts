export interface ServerSentEvent {
  readonly id: string | undefined;
  readonly event: string;
  readonly data: string;
}

/** Longest event that is taken, characters: a ledger entry is far shorter. */
const EVENT_CHARS_MAX = 1_048_576;

/** Takes text as it arrives, in pieces of any size, and gives whole events (WHATWG HTML, section 9.2, fields id, event, data). */
export function createEventReader(): (piece: string) => readonly ServerSentEvent[] {
  let rest = '';
  return (piece) => {
    const blocks = (rest + piece).split('\n\n');
    rest = blocks.pop() ?? '';
    if (rest.length > EVENT_CHARS_MAX) throw new RangeError(`expected an event of at most ${EVENT_CHARS_MAX} characters`);
    return blocks.flatMap((block) => eventOf(block) ?? []);
  };
}

function eventOf(block: string): ServerSentEvent | undefined {
  const values = (field: string): readonly string[] =>
    block.split('\n').flatMap((line) => (line.startsWith(`${field}: `) ? [line.slice(field.length + 2)] : []));
  const data = values('data');
  if (data.length === 0) return undefined;
  return { id: values('id').at(-1), event: values('event').at(-1) ?? 'message', data: data.join('\n') };
}
