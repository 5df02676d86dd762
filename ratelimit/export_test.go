package ratelimit

// Slack is how late a send may start for which a bucket makes up.
const Slack = slack
