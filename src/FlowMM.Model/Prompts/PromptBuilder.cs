namespace FlowMM.Model;

/// <summary>Messages to the ids that the model reads.</summary>
/// <param name="model">The model whose template and tokenizer are used.</param>
public sealed class PromptBuilder(ChatModel model)
{
    /// <summary>The prompt of a whole conversation, ready for the model's answer.</summary>
    /// <param name="messages">All messages; the last is the user's.</param>
    public PromptTokens Build(IReadOnlyList<ChatMessage> messages) => Tokenize(model.Template.Render(messages, true), first: true);

    /// <summary>
    /// What <paramref name="next"/> adds after <paramref name="history"/>, whose last message is the model's answer. When the rendering of
    /// everything begins with what the cache was fed (the rendering up to that answer, and the answer), only the rest is new.
    /// </summary>
    /// <param name="history">Messages so far, answers included.</param>
    /// <param name="next">The user's message.</param>
    public NextPrompt Continue(IReadOnlyList<ChatMessage> history, ChatMessage next)
    {
        string answer = string.Concat(history[^1].Parts.Select(p => p.Text));
        string fed = model.Template.Render([.. history.Take(history.Count - 1)], true) + answer;
        string all = model.Template.Render([.. history, next], true);
        return all.StartsWith(fed, StringComparison.Ordinal)
            ? new NextPrompt(Tokenize(all[fed.Length..], first: false), false)
            : new NextPrompt(Tokenize(all, first: true), true);
    }

    /// <summary>Ids of rendered text, with every image token repeated as often as a picture takes.</summary>
    /// <param name="text">Rendered text.</param>
    /// <param name="first">True when the text begins the conversation, where the tokenizer's own prefix may belong.</param>
    public PromptTokens Tokenize(string text, bool first)
    {
        bool written = model.Tokenizer.Prefix.Count > 0 && text.StartsWith(model.Tokenizer.Spelling(model.Tokenizer.Prefix[0]), StringComparison.Ordinal);
        List<int> ids = [];
        List<ImageSpan> images = [];
        IEnumerable<int> lead = first && !written ? model.Tokenizer.Prefix : [];
        foreach (int id in lead.Concat(model.Tokenizer.Encode(text, parseSpecial: true)))
        {
            if (id == model.ImageTokenId)
            {
                images.Add(new ImageSpan(ids.Count, model.TokensPerImage));
                ids.AddRange(Enumerable.Repeat(id, model.TokensPerImage));
            }
            else
            {
                ids.Add(id);
            }
        }

        return new PromptTokens { Ids = [.. ids], Images = images };
    }
}
