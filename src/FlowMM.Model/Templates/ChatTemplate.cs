using FlowMM.Model.Templates;

namespace FlowMM.Model;

/// <summary>
/// A checkpoint's chat template: the part of Jinja that chat templates use, rendered as transformers renders them (trim_blocks,
/// lstrip_blocks). Steps and output are bounded, because templates come with checkpoints. Safe to use from several threads.
/// </summary>
public sealed class ChatTemplate
{
    private const string Probe = "content of a message";
    private static readonly string[] SpecialTokens = ["bos_token", "eos_token", "unk_token", "pad_token"];

    private readonly IReadOnlyList<Statement> _body;
    private readonly Dictionary<string, object?> _globals;
    private readonly bool _takesText;
    private readonly bool _takesParts;

    /// <summary>Reads a template.</summary>
    /// <param name="template">Its text.</param>
    /// <param name="globals">Values that it may name, such as bos_token.</param>
    /// <exception cref="TemplateException">It uses what is not supported.</exception>
    public ChatTemplate(string template, IReadOnlyDictionary<string, object?> globals)
    {
        // Jinja drops one newline at a template's end.
        _body = Guarded(() => new TemplateParser(TemplateLexer.Read(template.EndsWith('\n') ? template[..^1] : template)).Parse());
        _globals = new(globals);
        _takesText = Shows(Probe);
        _takesParts = Shows(new List<object?> { Part("text", Probe) });
        KeepsOrder = _takesParts && InOrder();
    }

    /// <summary>True when pictures and text of a message are written in the order given; some families write all pictures first.</summary>
    public bool KeepsOrder { get; }

    /// <summary>
    /// Reads the template of a checkpoint: chat_template.jinja, chat_template.json or tokenizer_config.json (of several named ones the one named
    /// default), or for families that publish theirs as code a built-in one.
    /// </summary>
    /// <param name="directory">The checkpoint's folder.</param>
    /// <param name="file">A template to use instead, plain or in JSON; null for the checkpoint's own.</param>
    /// <exception cref="CheckpointException">There is none, or it cannot be read.</exception>
    public static ChatTemplate Load(string directory, string? file = null)
    {
        TemplateSource source = file is null ? TemplateSource.Of(directory) : TemplateSource.Named(file);
        string config = Path.Combine(directory, "tokenizer_config.json");
        string Token(string name) => File.Exists(config) ? TemplateSource.Field(config, name) ?? "" : "";
        try
        {
            return new ChatTemplate(source.Text, SpecialTokens.ToDictionary(name => name, name => (object?)Token(name)));
        }
        catch (TemplateException error)
        {
            throw new CheckpointException(source.File, error.Message, error);
        }
    }

    /// <summary>The text that the model reads for these messages.</summary>
    /// <param name="messages">The conversation.</param>
    /// <param name="addGenerationPrompt">True to end where the model's answer begins.</param>
    /// <exception cref="TemplateException">The template refuses the messages, or passes its bounds.</exception>
    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt) => Render(new Dictionary<string, object?>
    {
        ["messages"] = messages.Select(m => (object?)new Dictionary<string, object?> { ["role"] = m.Role, ["content"] = Content(m.Parts) }).ToList(),
        ["add_generation_prompt"] = addGenerationPrompt,
    });

    /// <summary>Renders with any variables, for tests against the reference.</summary>
    internal string Render(IReadOnlyDictionary<string, object?> variables)
    {
        Output output = new();
        Scope scope = new(null, output);
        foreach ((string name, object? value) in _globals.Concat(variables))
        {
            scope.Set(name, value);
        }

        return Guarded(() =>
        {
            Statement.RunAll(_body, scope);
            return output.ToString();
        });
    }

    /// <summary>A template can be wrong in more ways than the interpreter names: whatever it does, the caller sees one kind of error.</summary>
    private static T Guarded<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception error) when (error is InsufficientExecutionStackException or InvalidCastException or IndexOutOfRangeException or ArgumentException
            or InvalidOperationException or FormatException or ArithmeticException or LoopSignal)
        {
            throw new TemplateException($"The chat template cannot be used: {error.Message}");
        }
    }

    /// <summary>Whether a user's message in this form reaches the output: templates take text, a list of parts, or either.</summary>
    private bool Shows(object content) => Rendered(content)?.Contains(Probe, StringComparison.Ordinal) == true;

    /// <summary>A user's message of this content; null where the template refuses the form.</summary>
    private string? Rendered(object content)
    {
        try
        {
            return Render(new Dictionary<string, object?>
            {
                ["messages"] = new List<object?> { new Dictionary<string, object?> { ["role"] = "user", ["content"] = content } },
                ["add_generation_prompt"] = true,
            });
        }
        catch (TemplateException)
        {
            // Refusing the form is an answer: it is not taken.
            return null;
        }
    }

    private bool InOrder()
    {
        Dictionary<string, object?> text = Part("text", Probe), image = Part("image", null);
        return Rendered(new List<object?> { text, image, text }) is { } between && Rendered(new List<object?> { image, text, text }) is { } first && between != first;
    }

    private static Dictionary<string, object?> Part(string type, string? text)
    {
        Dictionary<string, object?> part = new() { ["type"] = type };
        if (text is not null)
        {
            part["text"] = text;
        }

        return part;
    }

    private object Content(IReadOnlyList<ChatPart> parts)
    {
        bool plain = parts.All(p => p.Text is not null);
        if (plain && _takesText && (parts.Count == 1 || !_takesParts))
        {
            return string.Concat(parts.Select(p => p.Text));
        }

        return plain || _takesParts
            ? parts.Select(p => (object?)Part(p.Text is null ? "image" : "text", p.Text)).ToList()
            : throw new TemplateException("The chat template takes text only, no pictures.");
    }
}
