/** Colours of our sockets and their wires. Each can be told from a node's body in the dark and in the light themes. */

export const COLOURS = {
  PORTRAITTALK_STACK: '#b07ae0',
  PORTRAITTALK_IDENTITY: '#3d8fe0',
  PORTRAITTALK_SPEECH: '#2f9e8f',
  PORTRAITTALK_MOTION: '#d0743c',
}

/**
 * Give our types their colours. Themes may choose others; where one is loaded that does not know them, the frontend
 * would reset them, hence the values look after themselves.
 */
export function colourSockets(canvas, graphCanvas, root) {
  for (const [type, colour] of Object.entries(COLOURS)) {
    for (const map of [canvas?.default_connection_color_byType, graphCanvas?.link_type_colors]) {
      if (map) keep(map, type, colour)
    }
    root?.style.setProperty(`--color-datatype-${type}`, colour)
  }
}

function keep(map, type, colour) {
  let chosen = colour
  const options = { enumerable: true, configurable: true, get: () => chosen }
  Object.defineProperty(map, type, { ...options, set: (value) => (chosen = value || colour) })
}
