import { ringsAgree } from '../assertion/keys.ts'
import type { RingSummary } from '../assertion/keys.ts'

/** Whether the replicas sign with keys that all of them publish. */
export class KeyAgreement {
  readonly #ring: RingSummary

  constructor(ring: RingSummary) {
    this.#ring = ring
  }

  /** What the others are told of ours; JSON. */
  about(): unknown {
    return { signing: this.#ring.signingKid(), kids: this.#ring.kids() }
  }

  trouble(others: readonly { readonly id: string; readonly about: unknown }[]): string | undefined {
    const stranger = others.find(({ about }) => {
      const theirs = summaryOf(about)
      return theirs !== undefined && !ringsAgree(this.#ring, theirs)
    })
    return (
      stranger && `keys: replica ${stranger.id} signs with other keys; replicas must share one key folder`
    )
  }
}

function summaryOf(about: unknown): RingSummary | undefined {
  if (typeof about !== 'object' || about === null) return undefined
  const { signing, kids } = { ...about } as Readonly<Record<string, unknown>>
  if (typeof signing !== 'string' || !Array.isArray(kids)) return undefined
  return { signingKid: () => signing, kids: () => kids.filter((kid) => typeof kid === 'string') }
}
