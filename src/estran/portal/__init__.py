"""The portal: HTTP and pages. Parse what comes in, ask `projects`, draw the answer."""
