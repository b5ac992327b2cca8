/** The types of requests and answers in the classic format. */
export const ClassicType = {
  SocketIds: 0,
  AllRooms: 1,
  Join: 2,
  Leave: 3,
  Disconnect: 4,
  Fetch: 5,
  ServerEvent: 6,
  Ask: 7,
  Recipients: 8,
  Acknowledged: 9
} as const
