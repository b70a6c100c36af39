import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Everything a process counts; names carry units (Prometheus naming). Labels hold no identity of a tenant and no secret. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    commands: new Counter({
      name: 'carnet_commands_total',
      help: 'Commands performed, by kind and outcome',
      labelNames: ['command', 'outcome'],
      registers: [registry],
    }),
    commandSeconds: new Histogram({
      name: 'carnet_command_duration_seconds',
      help: 'Time one attempt at a command took',
      labelNames: ['command'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers: [registry],
    }),
    events: new Counter({
      name: 'carnet_events_total',
      help: 'Events placed, by direction and type',
      labelNames: ['direction', 'type'],
      registers: [registry],
    }),
    refusals: new Counter({
      name: 'carnet_refusals_total',
      help: 'Requests, events and commands refused, by code',
      labelNames: ['code'],
      registers: [registry],
    }),
    openMigrations: new Gauge({ name: 'carnet_migrations_open', help: 'Migrations that have not ended', registers: [registry] }),
  };
}
export type Metrics = ReturnType<typeof createMetrics>;
