import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from '@prometheus-io/client'

/** The metrics of one process. Domains make theirs once at start; names begin with `reeve_` and end in their unit. */
export type Metrics = {
  counter<Label extends string = never>(name: string, help: string, labels?: readonly Label[]): Counter<Label>
  /** With `read`, the value is asked for at each scrape. */
  gauge<Label extends string = never>(
    name: string,
    help: string,
    labels?: readonly Label[],
    read?: () => number,
  ): Gauge<Label>
  histogram<Label extends string = never>(
    name: string,
    help: string,
    labels?: readonly Label[],
    buckets?: readonly number[],
  ): Histogram<Label>
  /** The Prometheus text format. */
  text(): Promise<string>
  readonly contentType: string
}

/** Seconds, from a cached decision to a slow approval list. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** A registry of its own, so that two servers in one process (tests) do not share counts. */
export function openMetrics(options: { withProcess?: boolean } = {}): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (options.withProcess ?? true) collectDefaultMetrics({ register: registry })
  return {
    counter: (name, help, labels = []) =>
      new Counter({ name: checked(name), help, labelNames: [...labels], registers }),
    gauge: (name, help, labels = [], read) =>
      new Gauge({
        name: checked(name),
        help,
        labelNames: [...labels],
        registers,
        ...(read && {
          collect() {
            this.set(read())
          },
        }),
      }),
    histogram: (name, help, labels = [], buckets = SECONDS) =>
      new Histogram({ name: checked(name), help, labelNames: [...labels], buckets: [...buckets], registers }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

function checked(name: string): string {
  if (!/^reeve_[a-z0-9_]+$/.test(name)) throw new Error(`the metric ${name} must begin with reeve_ and be lower case`)
  return name
}
