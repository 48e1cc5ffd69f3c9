import type { Redis } from 'ioredis'
import type { Change } from '../../directory/change.ts'

/** RomM fact: what its replicas tell each other's sockets, as JSON. */
const CHANNEL = 'socketio'
const PERMISSIONS = 'permissions:changed'

/**
 * Listens to RomM telling its web clients whose permissions changed, which spares waiting for the next batch. It says nothing of
 * passwords, tokens, and users who may no longer sign in.
 * @param redis a connection for this alone
 */
export function listenForPermissions(redis: Redis, changed: (changes: readonly Change[]) => void): void {
  const subscribe = (): void => void redis.subscribe(CHANNEL).catch(() => undefined)
  redis.on('ready', subscribe)
  if (redis.status === 'ready') subscribe()
  redis.on('message', (_channel, text) => {
    // Progress of scans comes here too, and often: what is not about permissions is not even parsed.
    if (text.includes(PERMISSIONS)) changed(changesOf(text))
  })
}

/** @returns everybody, where it does not say whom */
export function changesOf(text: string): Change[] {
  const ids = userIds(text)
  return ids.length === 0 ? [{ kind: 'everybody' }] : ids.map((id) => ({ kind: 'user', id }))
}

function userIds(text: string): string[] {
  try {
    const message: unknown = JSON.parse(text)
    if (typeof message !== 'object' || message === null || !('data' in message)) return []
    return [message.data].flat().flatMap((each: unknown) => {
      const isUser = typeof each === 'object' && each !== null && 'user_id' in each
      return isUser && typeof each.user_id === 'number' ? [String(each.user_id)] : []
    })
  } catch {
    return []
  }
}
