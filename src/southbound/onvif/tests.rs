//! Replies as cameras really send them, broken ones included, against the readers and a real socket.
