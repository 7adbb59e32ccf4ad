-- Words are brought to their stems before they come here: the same stems, so that what is there stays as it is.
COMMENT ON TABLE chunk_terms IS 'Which words are in which chunk, and which store it belongs to';
