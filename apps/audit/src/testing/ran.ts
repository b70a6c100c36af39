import { run, type Streams } from '../program.ts';

/** One run of the program, with all that it said. */
export async function ran(args: readonly string[], world: Pick<Streams, 'environment' | 'nowMs'>) {
  let [out, err] = ['', ''];
  const code = await run(args, {
    ...world,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}
