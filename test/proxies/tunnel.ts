import { parse } from 'yaml'
import { handshake, hopless, type Imitation, over, valuesOf, without } from './imitation.ts'

interface File {
  readonly originRequest: { readonly httpHostHeader?: string }
  readonly ingress: readonly { readonly service: string }[]
}

/** Cloudflare's network and its tunnel (developers.cloudflare.com/fundamentals/reference/http-headers). */
export function tunnel(recipe: string): Imitation {
  const { originRequest, ingress } = parse(recipe) as File
  if (originRequest.httpHostHeader !== undefined) throw new Error('Host would be another')
  if (ingress[0]?.service !== 'http://postern:8090') throw new Error('it leads past Postern')
  return {
    takes(arriving) {
      const { headers, client, isHandshake } = arriving
      const dotted = headers.filter((name, i) => i % 2 === 0 && name.includes('.'))
      const cloudflares = over({
        'Accept-Encoding': 'gzip, br',
        'CF-Connecting-IP': client,
        'CF-IPCountry': 'XX',
        'CF-RAY': '230b030023ae2822-SJC',
        'CF-Visitor': '{"scheme":"https"}',
        'CDN-Loop': 'cloudflare; loops=1',
        'Cf-Warp-Tag-Id': '00000000-0000-0000-0000-000000000000',
        'X-Forwarded-For': [...valuesOf(headers, 'x-forwarded-for'), client].join(','),
        'X-Forwarded-Proto': 'https',
      })
      return {
        ...arriving,
        headers: handshake(isHandshake)(cloudflares(without(...dotted)(hopless(headers)))),
      }
    },
    sends: (taken) => taken,
  }
}
