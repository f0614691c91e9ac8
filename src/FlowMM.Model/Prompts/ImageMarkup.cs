namespace FlowMM.Model.Prompts;

/// <summary>How a family writes a picture's place in a prompt.</summary>
/// <param name="Placeholder">What the chat template writes for it where that is plain text; null where it is the image token itself.</param>
/// <param name="Before">Tokens in front of the picture's rows.</param>
/// <param name="After">Tokens behind them.</param>
internal sealed record ImageMarkup(string? Placeholder, string Before, string After)
{
    /// <summary>The markup of an architecture, config.json's model_type.</summary>
    public static ImageMarkup Of(string architecture) => architecture switch
    {
        "internvl" => new(null, "<img>", "</img>"),
        "internvl_chat" => new("<image>", "<img>", "</img>"),
        "mobilevlm" => new("<image>", "", ""),
        _ => new(null, "", ""),
    };
}
