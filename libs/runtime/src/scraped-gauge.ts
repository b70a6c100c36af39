import { Gauge } from 'prom-client';
import type { Metrics } from './metrics.ts';

export type Sample = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** A gauge that is asked for at each scrape: values that nobody has to keep up to date. */
export function scrapedGauge(
  { registry }: Metrics,
  of: { readonly name: string; readonly help: string; readonly labelNames: readonly string[] },
  read: () => Promise<readonly Sample[]>,
): void {
  const gauge = new Gauge({
    ...of,
    labelNames: [...of.labelNames],
    registers: [],
    async collect() {
      const samples = await read();
      this.reset();
      for (const { labels, value } of samples) this.set(labels, value);
    },
  });
  registry.registerMetric(gauge);
}
