// Loaded before a broker or an agent: its clock is wrong by what stands in a file beside its configuration, in milliseconds.
import { readFileSync } from 'node:fs';

const LOOK_MS = 100;
const file = `${process.argv[process.argv.indexOf('--config') + 1]}.clock`;
let offMs = 0;
const look = () => {
  try {
    offMs = Number(readFileSync(file, 'utf8'));
  } catch {
    offMs = 0;
  }
};
look();
setInterval(look, LOOK_MS).unref();

const RightDate = Date;
globalThis.Date = class extends RightDate {
  constructor(...given) {
    if (given.length === 0) super(RightDate.now() + offMs);
    else super(...given);
  }
  static now() {
    return RightDate.now() + offMs;
  }
};
