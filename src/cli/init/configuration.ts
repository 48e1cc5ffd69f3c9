export interface Answers {
  /** Origin of RomM. */
  readonly upstream: string
  /** At which people reach it, where that is known. */
  readonly publicUrl: string | undefined
  readonly enforcement: 'enforce' | 'observe'
  /** Of the admin listener, where it is not to be on loopback. */
  readonly admin: string | undefined
  /** Of the compose file, which gives Postern RomM's own variables; undefined without one. */
  readonly compose: string | undefined
}

/** A commented configuration for Postern before RomM. */
export function configurationOf({ upstream, publicUrl, enforcement, admin, compose }: Answers): string {
  return [
    `# Postern before RomM, written by \`postern init\`. \`postern check\` reads it, \`postern doctor\` looks whether all is well.`,
    '# All settings: docs/configuration.md.',
    '',
    'profile: romm',
    '',
    'upstream:',
    "  # The web server of RomM's container, which alone serves files.",
    `  url: ${upstream}`,
    '',
    '# Who stands in front and is believed about who a client is: whatever has a private address. The proxy alone is narrower.',
    'trustedProxies: [private]',
    '',
    '# The origin that people type into their browsers.',
    publicUrl === undefined ? '# publicUrl: https://romm.example.org' : `publicUrl: ${publicUrl}`,
    '',
    '# observe: decide, log what would be refused (`postern tail --would-deny`), and forward all the same.',
    `enforcement: ${enforcement}`,
    '',
    ...listening(admin),
    'romm:',
    ...given(compose),
    '  # database:',
    '  #   user: postern                      # one that may only read: docs/romm.md has the GRANTs',
    '  #   password: { file: /run/secrets/postern_db_password }',
    '',
    '  # A new RomM: `open` lets strangers make the first admin, and closes itself then.',
    '  firstRun: closed',
    '',
  ].join('\n')
}

/** A backend that can be made to fetch any address would else read who does what, and hand it on. */
function listening(admin: string | undefined): string[] {
  if (admin === undefined) return []
  return [
    '# RomM is on the same loopback, and whoever reaches this is believed.',
    'listen:',
    `  admin: ${admin}`,
    '',
  ]
}

function given(compose: string | undefined): string[] {
  return compose === undefined
    ? [
        "  # Each of these makes Postern faster or stricter; RomM's own variables (DB_HOST, …) are read too.",
        '  # secret: ${ROMM_AUTH_SECRET_KEY}',
        '  # redis: redis://romm-redis:6379/0',
      ]
    : [
        `  # Secret, database and Redis come as RomM's own variables, by ${compose}. What is written here counts more:`,
      ]
}
