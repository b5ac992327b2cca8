import * as Config from "effect/Config"
import * as Option from "effect/Option"

/** Reads an option from the configuration, by its name there. */
export type Reader = (name: string) => Config.Config<unknown>

/** `pingInterval` as `PING_INTERVAL`, `allowEIO3` as `ALLOW_EIO3`. */
export const constantCase = (name: string): string => name.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toUpperCase()

/** Reads those of a group's options that are set. */
export const optional = (fields: Readonly<Record<string, Reader>>): Config.Config<Record<string, unknown>> =>
  Config.map(
    Config.all(
      Object.fromEntries(
        Object.entries(fields).map(([field, read]) => [field, Config.option(read(constantCase(field)))])
      )
    ),
    (values) => {
      const set: Record<string, unknown> = {}
      for (const [field, value] of Object.entries(values)) if (Option.isSome(value)) set[field] = value.value
      return set
    }
  )
