import type { LookupStatus, Status } from './live.ts'
import type { Peer } from './peers.ts'
import type { ReasonCounts } from './recent.ts'

/** Several processes of one configuration as one; undefined for none. */
export function statusTogether(all: readonly Status[]): Status | undefined {
  const [first] = all
  if (first === undefined) return undefined
  const sum = (value: (status: Status) => number): number => total(all.map(value))
  return {
    ...first,
    startedAt: Math.min(...all.map(({ startedAt }) => startedAt)),
    lookups: first.lookups.map((lookup) => lookupTogether(lookup, all)),
    replicas: first.replicas && {
      joined: all.every(({ replicas }) => replicas?.joined === true),
      live: Math.min(...all.map(({ replicas }) => replicas?.live ?? 0)),
      announced: sum(({ replicas }) => replicas?.announced ?? 0),
      unacknowledged: sum(({ replicas }) => replicas?.unacknowledged ?? 0),
      gaps: sum(({ replicas }) => replicas?.gaps ?? 0),
    },
    proxies: {
      trusted: peersTogether(all.flatMap(({ proxies }) => proxies.trusted)),
      untrusted: peersTogether(all.flatMap(({ proxies }) => proxies.untrusted)),
    },
    inFlight: sum(({ inFlight }) => inFlight),
    waiting: sum(({ waiting }) => waiting),
    blocks: Math.max(...all.map(({ blocks }) => blocks)),
    sockets: sum(({ sockets }) => sockets),
    refusals: {
      deny: countsTogether(all.map(({ refusals }) => refusals.deny)),
      would_deny: countsTogether(all.map(({ refusals }) => refusals.would_deny)),
    },
  }
}

function lookupTogether({ name }: LookupStatus, all: readonly Status[]): LookupStatus {
  const same = all.flatMap(({ lookups }) => lookups.filter((each) => each.name === name))
  const ages = same.flatMap(({ batchAge }) => (batchAge === undefined ? [] : [batchAge]))
  return {
    name,
    entries: total(same.map(({ entries }) => entries)),
    sourceAway: same.some(({ sourceAway }) => sourceAway),
    counts: countsTogether(same.map(({ counts }) => counts)),
    batchAge: ages.length === 0 ? undefined : Math.max(...ages),
  }
}

function peersTogether(peers: readonly Peer[]): Peer[] {
  return [...Map.groupBy(peers, ({ address }) => address)].map(([address, same]) => ({
    address,
    lastSeen: Math.max(...same.map(({ lastSeen }) => lastSeen)),
    requests: total(same.map(({ requests }) => requests)),
  }))
}

function countsTogether<Counts extends ReasonCounts | LookupStatus['counts']>(
  all: readonly Counts[],
): Counts {
  const names = new Set(all.flatMap((counts) => Object.keys(counts)))
  const sums = [...names].map((name) => [name, total(all.map((counts) => entryOf(counts, name)))])
  // The same names, each with a number, as in what was added up.
  return Object.fromEntries(sums) as Counts
}

function entryOf(counts: Readonly<Record<string, number | undefined>>, name: string): number {
  return counts[name] ?? 0
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
