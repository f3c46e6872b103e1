"""PortraitTalk: one portrait, one recording and a prompt become a video of that person speaking."""
