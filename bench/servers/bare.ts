/** The least that forwards at all: node:http and undici's dispatch, without any guard. */
import type { ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import { serve, upstreamUrl } from './serve.ts'

class Copy implements Dispatcher.DispatchHandler {
  readonly #res: ServerResponse

  constructor(res: ServerResponse) {
    this.#res = res
  }

  onRequestStart(): void {}

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    const raw = controller.rawHeaders
    const headers: string[] = []
    if (Array.isArray(raw)) for (const text of raw) headers.push(text.toString('latin1'))
    this.#res.writeHead(status, headers)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#res.write(chunk)
  }

  onResponseEnd(): void {
    this.#res.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    console.error(error)
    this.#res.destroy()
  }
}

const pool = new Pool(upstreamUrl())

serve((req, res) => {
  const { method = 'GET', url = '/', rawHeaders } = req
  const body = method === 'GET' ? null : req
  pool.dispatch({ path: url, method, headers: rawHeaders, body }, new Copy(res))
})
