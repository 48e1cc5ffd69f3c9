import { isMap, isScalar, isSeq } from 'yaml'
import type { Pair } from 'yaml'
import { sourceOf } from './source.ts'

/** Where Postern listens in its container. */
const EDGE_PORT = 8090

/** A published port, as its author wrote it. */
export interface PublishedPort {
  readonly item: unknown
  /** The same, leading to Postern; undefined for a port that is not RomM's web server. */
  readonly moved: string | undefined
}

/** @param port at which RomM listens in its container */
export function publishedPorts(text: string, ports: Pair | undefined, port: number): PublishedPort[] {
  if (!isSeq(ports?.value)) return []
  return ports.value.items.map((item) => ({ item, moved: moved(sourceOf(text, item), item, port) }))
}

/** `80:8080`, `127.0.0.1:80:8080/tcp`, `8080`, `{ target: 8080, published: 80 }`. */
function moved(source: string, item: unknown, port: number): string | undefined {
  const target = isMap(item) ? item.get('target') : isScalar(item) ? item.value : undefined
  const leads = new RegExp(`^(?:.*:)?${port}(?:/tcp)?$`, 's')
  if (!leads.test(String(target))) return undefined
  return isMap(item)
    ? source.replace(new RegExp(`(\\btarget['"]?\\s*:\\s*['"]?)${port}\\b`), `$1${EDGE_PORT}`)
    : source.replace(new RegExp(`${port}(?=(?:/tcp)?['"]?$)`), String(EDGE_PORT))
}
