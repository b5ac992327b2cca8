/** The default limits of one packet; `ProtocolLimits` says why. */
export const packetLimits = {
  maxAttachments: 10,
  maxAttachmentBytes: 10_000_000,
  maxDepth: 64
} as const
