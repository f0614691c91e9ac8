using System.CommandLine;
using FlowMM.Cli.Hosting;
using FlowMM.Inference.V1;

namespace FlowMM.Cli.Chat;

/// <summary>The arguments of <c>flowmm chat</c> and what they mean.</summary>
internal sealed class ChatArguments
{
    private readonly Argument<string?> _prompt = new("prompt") { Description = "The question. Without one: a conversation.", Arity = ArgumentArity.ZeroOrOne };
    private readonly Option<string[]> _images = new("--image") { Description = "A picture file; may be given several times.", HelpName = "FILE" };
    private readonly Option<string?> _address = new("--address") { Description = "Gateway to talk to. Without one: a cluster in this process.", HelpName = "HOST:PORT" };
    private readonly Option<string?> _session = new("--session") { Description = "Conversation to go on with, or to start under this id.", HelpName = "ID" };
    private readonly Option<string?> _model = new("--model") { Description = "Folder of the checkpoint. Default: models/tiny, here or above.", HelpName = "DIR" };
    private readonly Option<string?> _template = new("--chat-template") { Description = "Chat template to use instead of the checkpoint's own.", HelpName = "FILE" };
    private readonly Option<string?> _data = new("--data") { Description = $"Folder for conversations. Default: {DataFolder.DefaultPath}", HelpName = "DIR" };
    private readonly Option<bool> _json = new("--json") { Description = "Print one JSON object." };
    private readonly Option<double?> _temperature = new("--temperature") { Description = "0 (greedy) to 2.", HelpName = "T" };
    private readonly Option<int?> _maxTokens = new("--max-tokens") { Description = "Most tokens of the answer.", HelpName = "N" };
    private readonly Option<ulong?> _seed = new("--seed") { Description = "Seed of the sampler.", HelpName = "N" };
    private readonly Option<string?> _method = new("--method") { Description = "How the KV cache is merged: full, flowmm, ...", HelpName = "NAME" };
    private readonly Option<double?> _budget = new("--budget") { Description = "Share of the KV cache to keep, above 0 to 1.", HelpName = "R" };
    private readonly Option<string?> _apiKey = new("--api-key") { Description = "Environment variable that holds the key.", HelpName = "ENV" };
    private readonly Option<bool> _verbose = new("--verbose") { Description = "Show the log of the cluster in this process." };

    public void AddTo(Command command)
    {
        // A misspelt option must not be asked as a question.
        _prompt.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: ['-', '-', ..] option }])
            {
                result.AddError($"Unrecognized option '{option}'.");
            }
        });
        command.Add(_prompt);
        foreach (Option option in (Option[])[_images, _address, _session, _model, _template, _data, _json, _temperature, _maxTokens, _seed, _method, _budget, _apiKey, _verbose])
        {
            command.Add(option);
        }
    }

    /// <exception cref="UsageException">The arguments contradict each other.</exception>
    public ChatSettings Read(ParseResult parsed)
    {
        ChatSettings settings = new()
        {
            Prompt = parsed.GetValue(_prompt),
            Images = parsed.GetValue(_images) ?? [],
            Address = parsed.GetValue(_address) is { } address ? Address(address) : null,
            Session = parsed.GetValue(_session),
            Model = parsed.GetValue(_model),
            ChatTemplate = TemplateFile.Find(parsed.GetValue(_template)),
            Data = parsed.GetValue(_data),
            Json = parsed.GetValue(_json),
            ApiKey = parsed.GetValue(_apiKey) is { } variable ? Key(variable) : null,
            Sampling = Sampling(parsed),
            Merging = Merging(parsed),
            Verbose = parsed.GetValue(_verbose),
        };
        if (settings is { Json: true, Prompt: null })
        {
            throw new UsageException("--json needs a prompt");
        }

        return settings is { Address: not null } and not { Model: null, Data: null, ChatTemplate: null }
            ? throw new UsageException("--model, --chat-template and --data are for a cluster in this process; with --address the gateway's are used")
            : settings;
    }

    /// <summary>Reads HOST:PORT or a whole http address.</summary>
    /// <exception cref="UsageException">It is neither.</exception>
    public static Uri Address(string text)
    {
        string whole = text.Contains("://", StringComparison.Ordinal) ? text : $"http://{text}";
        bool good = Uri.TryCreate(whole, UriKind.Absolute, out Uri? address)
            && address.Scheme is "http" or "https" && address.Host.Length > 0 && address.AbsolutePath == "/";
        return good ? address! : throw new UsageException($"--address '{text}' is no HOST:PORT");
    }

    private static string Key(string variable) => Environment.GetEnvironmentVariable(variable) is { Length: > 0 } key
        ? key
        : throw new UsageException($"--api-key names the environment variable '{variable}', which is not set");

    private SamplingOptions Sampling(ParseResult parsed)
    {
        SamplingOptions options = new();
        if (parsed.GetValue(_temperature) is { } temperature)
        {
            options.Temperature = temperature;
        }

        if (parsed.GetValue(_maxTokens) is { } maxTokens)
        {
            options.MaxTokens = maxTokens;
        }

        if (parsed.GetValue(_seed) is { } seed)
        {
            options.Seed = seed;
        }

        return options;
    }

    private MergingOptions Merging(ParseResult parsed)
    {
        MergingOptions options = new();
        if (parsed.GetValue(_method) is { } method)
        {
            options.Method = method;
        }

        if (parsed.GetValue(_budget) is { } budget)
        {
            options.BudgetRatio = budget;
        }

        return options;
    }
}
