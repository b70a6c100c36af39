import {
  Alert,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  List,
  ListItem,
} from '@patternfly/react-core';
import { type ReactNode, useMemo } from 'react';
import { consoleInfo, type Diagnosis, diagnosis, type MigrationDetail } from '../live/rows.ts';
import { useResource } from '../live/use-resource.ts';
import type { ShownEvent } from '../migration/shown-event.ts';
import { absolute } from '../parts/amounts.ts';
import { Moment } from '../parts/moment.tsx';
import { useNow } from '../parts/now.ts';
import { decidesText, doubtOf, isAsked } from './doubt.ts';
import { type BrokenGlass, brokenGlassOf, type Glass, glassOf } from './glass.ts';
import { HowToBreak, WhoBroke } from './statements-view.tsx';

/** Between readings of the diagnosis, ms: what the broker sees of its peer is told by no ledger entry. */
const DIAGNOSIS_MS = 10_000;

interface Props {
  readonly detail: MigrationDetail;
  readonly events: readonly ShownEvent[];
}

/** Above all else on the page while a release has no answer, and once its glass was broken; nothing otherwise. */
export function DoubtPanel({ detail, events }: Props) {
  const now = useNow();
  const asked = isAsked(detail) ? `/migrations/${detail.migration}/diagnosis` : undefined;
  const { value: found } = useResource(asked, diagnosis, DIAGNOSIS_MS);
  const self = useResource('/console', consoleInfo).value?.domain;
  const glass = useMemo(() => glassOf(events), [events]);
  const broken = useMemo(() => brokenGlassOf(events, glass), [events, glass]);
  const doubt = doubtOf(found, broken, glass?.deadline, now);
  if (doubt === undefined) return null;
  return (
    <section aria-label="Doubt" className="carnet-below">
      <Alert isInline variant={doubt.tone} title={doubt.title} component="h2" className="carnet-below">
        {found?.meaning}
      </Alert>
      <Facts since={doubt.since} glass={glass} found={found} broken={broken} />
      {found && <Advice found={found} />}
      {broken && <WhoBroke broken={broken} detail={detail} self={self} />}
      {!broken && glass && found?.standing === 'in-doubt' && <HowToBreak glass={glass} detail={detail} self={self} />}
    </section>
  );
}

interface FactsProps {
  readonly since: string | undefined;
  readonly glass: Glass | undefined;
  readonly found: Diagnosis | undefined;
  readonly broken: BrokenGlass | undefined;
}

function Facts({ since, glass, found, broken }: FactsProps) {
  return (
    <DescriptionList columnModifier={{ default: '1Col', lg: '2Col' }} isCompact className="carnet-below">
      {since && (
        <Fact term={broken ? 'Broken' : 'In doubt since'}>
          <At time={since} />
        </Fact>
      )}
      {glass && (
        <Fact term="Deadline of the migration">
          <At time={glass.deadline} />
        </Fact>
      )}
      {found && (
        <Fact term="Who must act">
          {found.turns.length === 0 && (
            <span>{decidesText(broken, glass?.target ?? '') ?? 'nobody, by what both have said'}</span>
          )}
          {found.turns.map(({ domain, must, givesUpAt }) => (
            <div key={domain}>
              <span className="carnet-strong">{domain}</span> must {must.join(', and ')}
              {givesUpAt && (
                <>
                  ; gives up by itself at <At time={givesUpAt} />
                </>
              )}
            </div>
          ))}
        </Fact>
      )}
      {found && found.findings.length > 0 && (
        <Fact term="What was found">
          {found.findings.map(({ code, text }) => (
            <div key={`${code} ${text}`}>
              <code>{code}</code> {text}
            </div>
          ))}
        </Fact>
      )}
    </DescriptionList>
  );
}

/** The instant and how far away it is: it is compared with logs, and with a watch. */
const At = ({ time }: { readonly time: string }) => (
  <>
    <span className="carnet-mono carnet-nowrap">{absolute(time)}</span>{' '}
    <span className="carnet-quiet">
      (<Moment time={time} />)
    </span>
  </>
);

function Fact({ term, children }: { readonly term: string; readonly children: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}

function Advice({ found: { safe, unsafe } }: { readonly found: Diagnosis }) {
  return (
    <DescriptionList columnModifier={{ default: '1Col', lg: '2Col' }} isCompact className="carnet-below">
      <Fact term="Safe to do">
        <Sentences texts={safe} />
      </Fact>
      <Fact term="Not to be done">
        <Sentences texts={unsafe} />
      </Fact>
    </DescriptionList>
  );
}

const Sentences = ({ texts }: { readonly texts: readonly string[] }) => (
  <List>
    {texts.map((text) => (
      <ListItem key={text}>{text}</ListItem>
    ))}
  </List>
);
