// Stands in for the auditor: says how it was called, and ends as it is told.
const [, , verb, ...rest] = process.argv;
process.stdout.write(`${JSON.stringify({ verb, rest })}\n`);
process.exit(Number(process.env['AUDITOR_EXIT'] ?? 0));
