/**
 * What the demo backend says of itself (OpenAPI 3.1). Scopes are only counted for schemes that have scopes, so it calls
 * itself `oauth2`; who hands out tokens (`postern token create`) is none of its business.
 */
export const DEMO_DOCUMENT = {
  openapi: '3.1.0',
  info: { title: 'Notes', version: '1.0.0', description: 'A backend that knows nobody.' },
  paths: {
    '/': {
      get: { summary: 'Says hello', security: [], responses: { 200: { description: 'Hello' } } },
    },
    '/notes': {
      get: {
        summary: 'All notes',
        security: [{ gateway: ['notes.read'] }],
        responses: { 200: { description: 'A list' } },
      },
      post: {
        summary: 'One more note',
        security: [{ gateway: ['notes.write'] }],
        requestBody: {
          content: { 'application/json': { schema: { $ref: '#/components/schemas/NewNote' } } },
        },
        responses: { 201: { description: 'The note' }, 400: { description: 'Not a note' } },
      },
    },
    '/whoami': {
      get: {
        summary: 'What this backend learns of a request',
        security: [{ gateway: [] }],
        responses: { 200: { description: 'Headers and assertion' } },
      },
    },
  },
  components: {
    schemas: {
      NewNote: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
    },
    securitySchemes: {
      gateway: {
        type: 'oauth2',
        description: 'Basic or a client token, checked by the gateway. Scopes: notes.read, notes.write.',
        flows: {},
      },
    },
  },
} as const
