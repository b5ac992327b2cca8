/**
 * The load generator's process: makes the load that its argument describes, and reports to the process that started it.
 */
import type { Kind } from "../scenarios.ts"
import { fail, type Figures, report } from "./channel.ts"
import { connect, upgrade } from "./connections.ts"
import * as Messages from "./messages.ts"

const kinds: Readonly<Record<Kind, (load: Messages.Load) => Promise<Figures>>> = {
  echo: Messages.echo,
  echoRate: Messages.echoRate,
  ack: Messages.ack,
  binary: Messages.binary,
  broadcast: Messages.broadcast,
  broadcastRate: Messages.broadcastRate,
  polling: Messages.polling,
  rooms: Messages.rooms,
  churn: Messages.churn,
  heartbeat: Messages.heartbeat,
  growth: Messages.growth,
  connect,
  upgrade
}

process.on("disconnect", () => process.exit(1))

const { kind, load } = JSON.parse(process.argv[2]!) as { readonly kind: Kind; readonly load: Messages.Load }
kinds[kind](load).then(report, fail)
