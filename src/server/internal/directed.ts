import type { BroadcastFlags, BroadcastPacket } from "../../adapter/Adapter.ts"
import type { SharedMessage } from "../../adapter/SharedLog.ts"
import type { EventData } from "./wire.ts"

/** An event for one socket, as it is in the log that servers share. */
export const directed = (
  sid: string,
  { data, mayHaveBinary }: EventData,
  { compress }: Pick<BroadcastFlags, "compress">
): SharedMessage => ({
  _tag: "Broadcast",
  data: data as BroadcastPacket["data"],
  mayHaveBinary,
  selection: { rooms: [sid], except: [] },
  flags: { volatile: false, compress },
  direct: true
})
