import type { Redis } from 'ioredis'
import { connectRedis } from './redis.ts'
import type { RedisAddress } from './redis.ts'

export interface ChannelListener {
  message(text: string): void
  /** From now on nothing that is published is missed. */
  opened(): void
  /** What is published may be missed until it is opened again. */
  lost(): void
}

/** What every replica hears, in the same order. */
export interface Channel {
  /** Called once. */
  listen(listener: ChannelListener): void
  publish(text: string): Promise<void>
  /** Gives up a connection on which nothing is heard, for a new one. */
  reopen(): void
  close(): void
}

/** @param publisher whose Redis is the one at `address`; a connection that listens can do nothing else */
export function redisChannel(name: string, publisher: Redis, address: RedisAddress): Channel {
  let listener: ChannelListener | undefined
  const subscriber = connectRedis(address, 'postern-replicas', (state) => {
    if (state === 'away') listener?.lost()
    else void subscribe()
  })
  const subscribe = async (): Promise<void> => {
    try {
      await subscriber.subscribe(name)
      listener?.opened()
    } catch {
      subscriber.disconnect(true)
    }
  }
  subscriber.on('message', (_channel, text) => listener?.message(text))
  return {
    listen(given) {
      listener = given
      if (subscriber.status === 'ready') void subscribe()
    },
    publish: async (text) => {
      await publisher.publish(name, text)
    },
    reopen: () => subscriber.disconnect(true),
    close: () => {
      listener = undefined
      subscriber.disconnect()
    },
  }
}
