import { CodeBlock, CodeBlockCode, Content } from '@patternfly/react-core';
import { Table, Tbody, Td, Th, Thead, Tr } from '@patternfly/react-table';
import { useState } from 'react';
import type { MigrationDetail } from '../live/rows.ts';
import { absolute } from '../parts/amounts.ts';
import { useNow } from '../parts/now.ts';
import { commandsFor, copyText } from './doubt.ts';
import type { BrokenGlass, Glass, Signed } from './glass.ts';
import { type Collected, collect, FILE_BYTES_MAX, FILES_MAX, stillNeeded } from './statements.ts';

interface Where {
  readonly detail: MigrationDetail;
  /** Whose console this is. */
  readonly self: string | undefined;
}

/** Before: who must sign, which statements an operator has at hand, and what to type. */
export function HowToBreak({ glass, detail, self }: Where & { readonly glass: Glass }) {
  const [texts, setTexts] = useState<readonly (readonly [name: string, text: string])[]>([]);
  const now = useNow();
  const collected = texts.map(([name, text]) => collect(name, text, glass, now));
  const commands = commandsFor(detail, undefined, self);
  return (
    <>
      <Content component="h3">Breaking the glass</Content>
      {glass.owner === undefined ? (
        <p>The VM names no owner, so nobody can break the glass: only {glass.target} can answer.</p>
      ) : (
        <>
          <Needed collected={collected} glass={glass} />
          <Statements collected={collected} />
          <p className="carnet-below">
            <label htmlFor="statements">Statements at hand: </label>
            <input
              id="statements"
              type="file"
              multiple
              accept=".json,application/json"
              onChange={({ target }) => void read([...(target.files ?? [])]).then(setTexts)}
            />
          </p>
          {commands.length > 0 && <Commands commands={commands} />}
          {self !== glass.source && (
            <p className="carnet-quiet">Only {glass.source} can break it, with two of its operators and the VM’s owner.</p>
          )}
        </>
      )}
    </>
  );
}

async function read(files: readonly File[]): Promise<readonly (readonly [string, string])[]> {
  return Promise.all(
    files.slice(0, FILES_MAX).map(async (file) => [file.name, file.size > FILE_BYTES_MAX ? '' : await file.text()] as const),
  );
}

function Needed({ collected, glass }: { readonly collected: readonly Collected[]; readonly glass: Glass }) {
  const needed = stillNeeded(collected, glass);
  return (
    <div className="carnet-below">
      <output htmlFor="statements">
        {needed.length === 0 ? (
          <span className="carnet-strong">
            All have signed whose word it takes. Persons’ signatures are checked when it is decided.
          </span>
        ) : (
          <>
            Still to sign:{' '}
            {needed.map((who, i) => (
              <span key={who}>
                {i > 0 && '; '}
                <span className="carnet-strong carnet-break">{who}</span>
              </span>
            ))}
            . Statements are files that people hand on, and no broker keeps any: choose those that you have, and this page says
            what is missing. They stay in this browser.
          </>
        )}
      </output>
    </div>
  );
}

function Statements({ collected }: { readonly collected: readonly Collected[] }) {
  if (collected.length === 0) return null;
  return (
    <Table aria-label="Statements at hand" variant="compact" gridBreakPoint="grid-md" className="carnet-below">
      <Thead>
        <Tr>
          <Th>File</Th>
          <Th>By</Th>
          <Th>Reason</Th>
          <Th>Good until</Th>
          <Th>Helps</Th>
        </Tr>
      </Thead>
      <Tbody>
        {collected.map(({ file, who, reason, notAfter, fault }, i) => (
          <Tr key={`${i} ${file}`}>
            <Td dataLabel="File" className="carnet-mono carnet-break">
              {file}
            </Td>
            <Td dataLabel="By" className="carnet-break">
              {who}
            </Td>
            <Td dataLabel="Reason" className="carnet-break">
              {reason}
            </Td>
            <Td dataLabel="Good until" className="carnet-mono">
              {notAfter && absolute(notAfter)}
            </Td>
            <Td dataLabel="Helps">{fault === undefined ? 'yes' : `no: ${fault}`}</Td>
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

/** After: who broke it, by which words, and what became of the copy at the target. */
export function WhoBroke({ broken, detail, self }: Where & { readonly broken: BrokenGlass }) {
  const commands = commandsFor(detail, broken, self);
  return (
    <>
      <p className="carnet-below">
        Epoch <span className="carnet-strong">{broken.opens}</span> is open at {broken.by}, in place of epoch {detail.epoch}.{' '}
        {broken.resumedAt === undefined
          ? 'Its host has not said yet that the VM runs there.'
          : `The VM runs there again since ${absolute(broken.resumedAt)}.`}
      </p>
      <p className="carnet-below">
        <span className="carnet-strong">Copy at {detail.target}: </span>
        {copyText(broken, detail.target)}
      </p>
      <Table aria-label="Who broke the glass" variant="compact" gridBreakPoint="grid-md" className="carnet-below">
        <caption className="carnet-caption">Who broke the glass, by what they signed</caption>
        <Thead>
          <Tr>
            <Th width={30}>By</Th>
            <Th width={20}>Says</Th>
            <Th width={20}>Reason</Th>
            <Th width={15}>Signed at</Th>
            <Th width={15} modifier="wrap">
              Permitted by
            </Th>
          </Tr>
        </Thead>
        <Tbody>
          {broken.persons.map((person) => (
            <SignedRow
              key={person.who}
              signed={person}
              says="the VM shall run at its source again"
              unpermitted="no policy: its version asked none"
            />
          ))}
          <SignedRow
            signed={broken.owner}
            says="the target does not run it, and will not"
            unpermitted="an owner’s word needs no policy"
          />
        </Tbody>
      </Table>
      <p className="carnet-below carnet-quiet">
        This browser checked the signature of the event. Those under the statements are judged by both brokers and by carnet
        audit, with certificates that a browser does not hold.
      </p>
      {commands.length > 0 && <Commands commands={commands} />}
    </>
  );
}

interface SignedProps {
  readonly signed: Signed;
  readonly says: string;
  /** Why no policy is named. */
  readonly unpermitted: string;
}

const SignedRow = ({ signed: { who, said, permittedBy }, says, unpermitted }: SignedProps) => (
  <Tr>
    <Td dataLabel="By" className="carnet-break">
      {who}
    </Td>
    <Td dataLabel="Says">{says}</Td>
    <Td dataLabel="Reason" className="carnet-break">
      {said?.reason ?? 'not readable here'}
    </Td>
    <Td dataLabel="Signed at" className="carnet-mono">
      {said && absolute(said.at)}
    </Td>
    <Td dataLabel="Permitted by">{permittedBy ?? <span className="carnet-quiet">{unpermitted}</span>}</Td>
  </Tr>
);

/** This console signs nothing: keys stay where their owners have them. */
const Commands = ({ commands }: { readonly commands: readonly string[] }) => (
  <CodeBlock className="carnet-below">
    <CodeBlockCode className="carnet-raw">{commands.join('\n')}</CodeBlockCode>
  </CodeBlock>
);
