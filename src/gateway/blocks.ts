import type { BlockRequest, Reach } from '../admin/live.ts'
import { addressesOf, foldUser } from '../directory/blocks.ts'
import type { Blocks } from '../directory/blocks.ts'
import { LONGEST_BLOCK } from '../directory/mark.ts'
import type { Block, Blockable, Mark } from '../directory/mark.ts'
import { PosternError } from '../errors.ts'
import type { Clock } from '../identity/clock.ts'
import { plainAddress } from '../request/network.ts'
import type { Runtime } from './runtime.ts'

export interface BlocksOptions {
  readonly runtime: () => Pick<Runtime, 'blocking' | 'profile' | 'gauges'>
  readonly blocks: Blocks
  readonly clock: Clock
}

/** Each address block is looked at on every request. */
const MOST = 1_000

interface Done {
  readonly block: Block
  readonly reach: Reach
}

/** @throws PosternError `usage` for what cannot be blocked */
export async function block(options: BlocksOptions, request: BlockRequest): Promise<Done> {
  const { blocks, clock } = options
  if (blocks.list.length >= MOST) throw new PosternError('usage', `There are ${MOST} blocks already.`)
  const { kind, why } = request
  const what = nameOf(kind, request.what)
  const subject = kind === 'user' ? await subjectOf(options, request.what) : undefined
  const until = clock.now() + Math.min(request.for, LONGEST_BLOCK)
  return put(options, blocks.mark({ kind, what, subject, why, until }, false))
}

/** @returns undefined where there is none */
export async function unblock(
  options: BlocksOptions,
  kind: Blockable,
  what: string,
): Promise<Done | undefined> {
  const name = nameOf(kind, what)
  const found = options.blocks.list.find((each) => each.kind === kind && each.what === name)
  return found && put(options, options.blocks.mark(found, true))
}

async function put({ runtime }: BlocksOptions, mark: Mark): Promise<Done> {
  const running = runtime()
  const { lifted: _, ...about } = mark
  const { replicas } = running.gauges()
  const told = replicas?.live.length
  const before = replicas?.counts.unacknowledged ?? 0
  await running.blocking.put(mark)
  return { block: about, reach: { told, missed: (replicas?.counts.unacknowledged ?? 0) - before } }
}

/** As it is compared. @throws PosternError `usage` */
function nameOf(kind: Blockable, what: string): string {
  switch (kind) {
    case 'user':
      return foldUser(what)
    case 'token':
      if (/^\d{1,19}$/.test(what)) return what
      throw new PosternError(
        'usage',
        'A token is blocked by its number, which `postern who` shows, not by itself.',
      )
    case 'session':
      if (/^[0-9a-f]{16}$/.test(what)) return what
      throw new PosternError('usage', 'A session is blocked by the 16 digits that `postern who` shows.')
    case 'address':
      return addressOf(what)
  }
}

function addressOf(text: string): string {
  const address = plainAddress(text.toLowerCase())
  if (addressesOf(address) !== undefined) return address
  throw new PosternError('usage', `'${text}' is neither an IP address nor a CIDR block.`)
}

/** The user's id, where there is a source that knows it just now. */
async function subjectOf({ runtime }: BlocksOptions, name: string): Promise<string | undefined> {
  try {
    return (await runtime().profile.look('user', name))?.owner?.subject
  } catch {
    return undefined
  }
}
