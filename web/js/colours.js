/** Colours: of our sockets and their wires, and whether the theme is a dark one. */

/**
 * Of wires and sockets. Each can be told from a node's body in the dark and in the light themes. The style sheet has
 * them too, for nodes that are part of the page: what a theme says of our types is set on the page itself and wins.
 */
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
export function colourSockets(canvas, graphCanvas) {
  for (const [type, colour] of Object.entries(COLOURS)) {
    for (const map of [canvas?.default_connection_color_byType, graphCanvas?.link_type_colors]) {
      if (map) keep(map, type, colour)
    }
  }
}

function keep(map, type, colour) {
  let chosen = colour
  const options = { enumerable: true, configurable: true, get: () => chosen }
  Object.defineProperty(map, type, { ...options, set: (value) => (chosen = value || colour) })
}

/** Say whether a ground (`#rrggbb`) is so dark that light letters can be read on it better than dark ones. */
export function isDark(ground) {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(ground.slice(at, at + 2), 16) / 255)
  const [red, green, blue] = [r, g, b].map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.179
}

/** Mark the page while the theme's widgets are dark, now and whenever the theme changes. */
export function followTheme(root) {
  const pen = document.createElement('canvas').getContext('2d')
  const mark = () => {
    pen.fillStyle = '#222222'
    pen.fillStyle = getComputedStyle(root).getPropertyValue('--comfy-input-bg').trim()
    // A colour that has transparency is written in another way; such a ground lets the dark canvas through.
    root.classList.toggle('pt-dark', !pen.fillStyle.startsWith('#') || isDark(pen.fillStyle))
  }
  mark()
  new MutationObserver(mark).observe(root, { attributes: true, attributeFilter: ['style'] })
}
