/** An error that the caller is told about, in the shape of the OpenAI API. */
export class ApiError extends Error {
    constructor(status, message, {param = null, code = null} = {}) {
        super(message);
        this.status = status;
        this.param = param;
        this.code = code;
    }

    get body() {
        const type = this.status >= 500 ? "server_error" : "invalid_request_error";
        return {error: {message: this.message, type, param: this.param, code: this.code}};
    }
}

export function badRequest(message, param = null, code = null) {
    return new ApiError(400, message, {param, code});
}
