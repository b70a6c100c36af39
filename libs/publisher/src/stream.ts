import type { IncomingMessage } from 'node:http';
import { LINE_BYTES_MAX } from './limits.ts';

/** Lines of a response, bounded; a connection cut inside the body throws, so half an export is never taken for a whole one. */
export async function* lines(response: IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const part of response as AsyncIterable<string>) {
    const pieces = (rest + part).split('\n');
    rest = pieces.pop() ?? '';
    if (rest.length > LINE_BYTES_MAX) throw new Error(`line exceeds ${LINE_BYTES_MAX} bytes`);
    yield* pieces;
  }
  if (!response.complete) throw new Error('stream was cut');
  if (rest !== '') yield rest;
}

/** Server-sent events (WHATWG HTML, section 9.2); comments and other fields are skipped. */
export async function* serverSentEvents(response: IncomingMessage): AsyncGenerator<{ readonly id: string; readonly data: string }> {
  let id = '';
  let data: string[] = [];
  for await (const line of lines(response)) {
    if (line.startsWith('id: ')) id = line.slice(4);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
    else if (line === '' && data.length > 0) {
      yield { id, data: data.join('\n') };
      data = [];
    }
  }
}
