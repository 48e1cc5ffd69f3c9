import { createHook } from 'node:async_hooks'
import { nextTick } from 'node:process'

/**
 * One entry of the queue of `process.nextTick`, kept for as long as the process lives. V8 forgets the hidden class of such
 * entries when a collection of garbage finds none of them alive, as some do while a program starts. The next entry is given
 * another class, and the code of `nextTick`, which had learnt the first one, then takes the slow way for ever: a microsecond
 * each time, three times for each forwarded request (Node 26.10). A kept entry keeps its class.
 */
export const keptTick: { readonly entry?: object } = keepTick()

function keepTick(): { entry?: object } {
  const kept: { entry?: object } = {}
  const hook = createHook({
    init: (_id, type, _trigger, entry) => {
      if (type === 'TickObject') kept.entry = entry
    },
  }).enable()
  nextTick(() => undefined)
  hook.disable()
  return kept
}
